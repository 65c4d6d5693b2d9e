"""Reads an object out of a native store after docs/NATIVE-STORE.md: usage STORE OBJECT, to stdout.

It knows SHA-256 and the data shards alone, and has openssl verify the manifests.
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

TYPE = "application/vnd.keepwell.group.v1+json"
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
CRC32C = 0x82F63B78


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (CRC32C if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def verified(path, signers):
    signed = json.loads(path.read_text())
    assert signed["key"] in signers, "signed by a stranger"
    manifest = signed["manifest"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body = text.encode()
    message = f"DSSEv1 {len(TYPE)} {TYPE} {len(body)} ".encode() + body
    key = ED25519_SPKI + base64.b64decode(signed["key"].removeprefix("ed25519:"))
    with tempfile.TemporaryDirectory() as scratch:
        at = pathlib.Path(scratch)
        (at / "key").write_bytes(key)
        (at / "message").write_bytes(message)
        (at / "signature").write_bytes(base64.b64decode(signed["signature"]))
        subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", at / "key",
             "-rawin", "-in", at / "message", "-sigfile", at / "signature"],
            check=True, stdout=subprocess.DEVNULL,
        )
    return manifest


def payload(store, shard, group):
    kind, digest = shard["digest"].split(":")
    path = store / "shards" / digest[:2] / digest[2:4] / f"{digest}.{kind}"
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest, f"{path} is not what its name says"
    head, rest = data[:128], data[128:]
    magic, index, _, _, hashed, _, length = struct.unpack_from("<8sHHHBBQ", head)
    assert magic == b"KWSHARD1" and hashed == 1 and index == shard["index"]
    assert head[24:40].hex() == group and length == len(rest)
    assert head[72:104] == hashlib.sha256(rest).digest()
    assert struct.unpack_from("<I", head, 124)[0] == crc32c(head[:124])
    return rest


def main():
    store, wanted = pathlib.Path(sys.argv[1]), sys.argv[2]
    form = json.loads((store / "format.json").read_text())
    assert (form["format"], form["version"]) == ("keepwell-native", 1)
    assert (store / "marker").read_text().strip() == form["store"]
    groups = [verified(path, form["signers"]) for path in store.glob("groups/*/*.json")]
    groups = sorted((g for g in groups if g["object"]["name"] == wanted), key=lambda g: g["offset"])
    content = b""
    for group in groups:
        assert group["offset"] == len(content), "a group is missing"
        data = int(group["scheme"].split("+")[0])
        parts = [payload(store, shard, group["group"]) for shard in group["shards"][:data]]
        content += b"".join(parts)[: group["len"]]
    assert "sha256:" + hashlib.sha256(content).hexdigest() == groups[0]["object"]["digest"]
    sys.stdout.buffer.write(content)


main()
