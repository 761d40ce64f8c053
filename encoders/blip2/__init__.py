"""BLIP-2 with a T5: the encoder side alone."""

from ..families import Code
from .teacher import find, teacher_files
from .teacher_nodes import llm_node, llm_text_node, query_tokens_node

CODE = Code(find, teacher_files, {"query_tokens": query_tokens_node, "llm": llm_node, "llm_text": llm_text_node})
