"""From folders to manifests, and clips from wherever they are named.

Three forms are read: an image folder (`<class>/*`), a clip folder (`<class>/<clip>`), and a plain folder of images or
videos without labels. A clip is a folder of frames or a video. Links on the user's own disk are followed, hidden
files are ignored, and everything else that is left out is a remark. List files are read in `lists.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from .animations import as_clip, is_animated
from .class_folders import class_folders
from .clips import clips_on_disk, frame_count
from .disk import is_video_name, walk
from .manifest import NO_LABEL, Manifest, Sample, image_manifest
from .reading import AS_IT_IS, Reading
from .remarks import remark


def read_image_folder(
    name: str,
    root: Path,
    classes: Sequence[str] | None = None,
    subset: str = "",
    left_out: Collection[str] = (),
    reading: Reading = AS_IT_IS,
) -> Manifest:
    """Labelled images in one folder per class: `<root>/<subset>/<class>/**/image`.

    Images beside the class folders have no label; folders of the classes `left_out` are not read. Raises UsageError
    for a folder that does not name a class of the data set.
    """
    labels, classes, remarks, order = class_folders(name, root / subset, classes, left_out, reading)
    images, unread = walk(root, subset)
    depth = len(PurePosixPath(subset).parts)
    samples, beside, used = [], [], set()
    for source in images:
        folder, *below = source.split("/")[depth:]
        if not below:
            beside.append(source)
            samples.append(Sample(source, source, NO_LABEL))
        elif folder in labels:
            used.add(folder)
            samples.append(Sample(source, source, labels[folder]))
    empty = [folder for folder in labels if folder not in used]
    remarks += [
        *unread,
        *remark(empty, "class folder holds no images", "class folders hold no images"),
        *remark(
            beside, "image beside the class folders has no label", "images beside the class folders have no label"
        ),
    ]
    return image_manifest(name, classes, samples, root, remarks=remarks, numbers=order)


def read_clip_folder(
    name: str, root: Path, classes: Sequence[str] | None = None, subset: str = "", reading: Reading = AS_IT_IS
) -> Manifest:
    """Labelled clips in one folder per class: `<root>/<subset>/<class>/**/<clip>`.

    Each clip has as many frames as are on disk. Raises UsageError as `read_image_folder` does.
    """
    labels, classes, remarks, order = class_folders(name, root / subset, classes, (), reading)
    files, unread = walk(root, subset, videos=True)
    depth = len(PurePosixPath(subset).parts)
    samples, no_clip = [], []
    for clip in _clips_of(root, files, depth):
        parts = PurePosixPath(clip).parts[depth:]
        if len(parts) < 2:
            no_clip.append(clip or str(root))
        else:
            n_frames = frame_count(root, clip, reading.count)
            samples.append(Sample(clip.rstrip("/"), clip, labels[parts[0]], n_frames=n_frames))
    remarks += [
        *unread,
        *remark(
            no_clip,
            "folder or video belongs to no clip of a class and was left out",
            "folders or videos belong to no clip of a class and were left out",
        ),
    ]
    return clips_on_disk(name, classes, samples, root, reading, remarks, order)


def _clips_of(root: Path, files: Sequence[str], depth: int) -> dict[str, None]:
    """The videos, the picture files that hold several, and the folders of all other pictures.

    A picture file is a clip of its own in a class folder, and where there are videos beside it: elsewhere it is a
    frame of the clip whose folder it lies in.
    """
    beside_videos = {file.rpartition("/")[0] for file in files if is_video_name(file)}

    def clip_of(file: str) -> str:
        folder = file.rpartition("/")[0]
        may_be_clip = folder in beside_videos or len(PurePosixPath(folder).parts) == depth + 1
        if is_video_name(file):
            return file
        return as_clip(file) if may_be_clip and is_animated(root / file) else folder

    return dict.fromkeys(map(clip_of, files))


def read_plain_folder(name: str, root: Path, subset: str = "", remarks: Iterable[str] = ()) -> Manifest:
    """Every image below `<root>/<subset>`, without labels, in code-point order of the relative paths."""
    images, unread = walk(root, subset)
    samples = [Sample(source, source) for source in images]
    return image_manifest(name, (), samples, root, remarks=[*remarks, *unread])


def read_videos(name: str, root: Path, reading: Reading = AS_IT_IS, remarks: Iterable[str] = ()) -> Manifest:
    """Every video and animated picture below a folder as a clip without a label, in code-point order of paths."""
    files, unread = walk(root, videos=True)
    clips = [file if is_video_name(file) else as_clip(file) for file in files]
    samples = [
        Sample(file, clip, n_frames=frame_count(root, clip, reading.count))
        for file, clip in zip(files, clips, strict=True)
    ]
    return clips_on_disk(name, (), samples, root, reading, [*remarks, *unread])
