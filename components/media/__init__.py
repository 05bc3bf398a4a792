"""Files to frames: one way to decode any picture, animation or video, for every kind that shows them."""

from vlmloom.components.media.decoding import decode, header
from vlmloom.components.media.files import FileClip, FilePicture, picture_of
from vlmloom.components.media.headers import MOST_PIXELS, Header

__all__ = ["MOST_PIXELS", "FileClip", "FilePicture", "Header", "decode", "header", "picture_of"]
