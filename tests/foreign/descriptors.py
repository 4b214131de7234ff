"""Writes the descriptors of the API to standard output, with those of the details that its errors have."""

import subprocess
import sys

from google.protobuf import duration_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2

from service import BIN, ROOT

built = subprocess.run([BIN / "buf", "build", ROOT / "proto", "--output", "-"], check=True, stdout=subprocess.PIPE)
descriptors = FileDescriptorSet.FromString(built.stdout)
# Details are of any type, so the API does not import theirs.
for added in [duration_pb2, error_details_pb2]:
    descriptors.file.add().ParseFromString(added.DESCRIPTOR.serialized_pb)
sys.stdout.buffer.write(descriptors.SerializeToString())
