"""The plugin that makes Python's gRPC stubs, for buf.

grpcio-tools has it inside its protoc alone, not as a program that buf could
call. So this one speaks the plugins' protocol and asks that protoc.
"""

import os
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def main() -> int:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = plugin_pb2.CodeGeneratorResponse()
    response.supported_features = plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    with tempfile.TemporaryDirectory() as folder:
        descriptors = os.path.join(folder, "descriptors.binpb")
        out = os.path.join(folder, "out")
        os.mkdir(out)
        with open(descriptors, "wb") as f:
            f.write(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
        code = protoc.main(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *request.file_to_generate]
        )
        if code:
            return code
        for name in request.file_to_generate:
            stub = name.removesuffix(".proto") + "_pb2_grpc.py"
            path = os.path.join(out, stub)
            with open(path, encoding="utf-8") as f:
                response.file.add(name=stub, content=f.read())
    sys.stdout.buffer.write(response.SerializeToString())
    return 0


sys.exit(main())
