"""TLS with OpenSSL, curl, grpcio and grpcurl: protocols, trusted authorities and client certificates."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import grpc

from service import BIN, KEY, Service
from test_grpcio import Client


def run(*command):
    return subprocess.run(command, text=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="customer-groups-test-"))
        cls.files = pathlib.Path(folder)
        cls.make("root", "/CN=root", "basicConstraints=critical,CA:TRUE")
        cls.make("between", "/CN=between", "basicConstraints=critical,CA:TRUE", signer="root")
        cls.make("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1", signer="between")
        cls.make("other", "/CN=other", "basicConstraints=critical,CA:TRUE")
        chain = cls.files / "chain.crt"
        chain.write_text((cls.files / "server.crt").read_text() + (cls.files / "between.crt").read_text())
        cls.settings = {"TLS_CERT": str(chain), "TLS_KEY": str(cls.files / "server.key")}
        cls.service = cls.enterClassContext(Service(**cls.settings))

    @classmethod
    def make(cls, name, subject, extension, signer=None):
        key, cert = cls.files / f"{name}.key", cls.files / f"{name}.crt"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
        if signer:
            command += ["-CA", cls.files / f"{signer}.crt", "-CAkey", cls.files / f"{signer}.key"]
        if "CA:TRUE" not in extension:
            command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        done = run(*command, "-addext", extension, "-keyout", key, "-out", cert)
        assert done.returncode == 0, done.stderr

    def openssl(self, *options):
        command = ["openssl", "s_client", "-connect", self.service.address, "-verify_return_error"]
        return run(*command, "-CAfile", self.files / "root.crt", *options)

    def curl(self, authority, *options):
        command = ["curl", "--silent", "--show-error", "--cacert", self.files / f"{authority}.crt", *options]
        url = f"https://{self.service.address}/api/setup/customer-group"
        return run(*command, "--header", f"Authorization: Bearer {KEY}", url)

    def test_openssl_verifies_the_chain_and_agrees_on_a_protocol(self):
        for version in ["-tls1_2", "-tls1_3"]:
            for protocol in ["h2", "http/1.1"]:
                with self.subTest(version=version, protocol=protocol):
                    done = self.openssl(version, "-alpn", protocol)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn("Verify return code: 0 (ok)", done.stdout)
                    self.assertIn(f"ALPN protocol: {protocol}", done.stdout)
        self.assertNotEqual(self.openssl("-tls1_1").returncode, 0)

    def test_curl_speaks_both_protocols_and_trusts_only_the_right_authority(self):
        for version, option in [("2", "--http2"), ("1.1", "--http1.1")]:
            with self.subTest(version):
                done = self.curl("root", option, "--write-out", "\n%{http_version}")
                body, spoken = done.stdout.rsplit("\n", 1)
                self.assertEqual((json.loads(body)["data"], spoken), ([], version), done.stderr)
        self.assertEqual(self.curl("other").returncode, 60)

    def test_grpcio_trusts_only_the_right_authority(self):
        def channel(authority):
            credentials = grpc.ssl_channel_credentials((self.files / f"{authority}.crt").read_bytes())
            return self.enterContext(grpc.secure_channel(self.service.address, credentials))

        self.assertEqual(Client(channel("root"), KEY).call("ListCustomerGroups").total, 0)
        with self.assertRaises(grpc.RpcError) as refused:
            channel("other").unary_unary("/any/Method")(b"", timeout=30)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", refused.exception.details())

    def test_grpcurl_needs_the_right_authority_and_the_certificate_that_callers_must_have(self):
        self.make("callers", "/CN=callers", "basicConstraints=critical,CA:TRUE")
        self.make("caller", "/CN=caller", "extendedKeyUsage=clientAuth", signer="callers")
        self.make("stranger", "/CN=stranger", "extendedKeyUsage=clientAuth", signer="other")
        service = self.enterContext(Service(**self.settings, TLS_CLIENT_CA=str(self.files / "callers.crt")))

        def grpcurl(authority, caller, *options):
            command = [BIN / "grpcurl", *options, "-cacert", self.files / f"{authority}.crt"]
            if caller:
                command += ["-cert", self.files / f"{caller}.crt", "-key", self.files / f"{caller}.key"]
            method = "overplane.setup.v1.CustomerGroupService/ListCustomerGroups"
            return run(*command, "-H", f"authorization: Bearer {KEY}", "-emit-defaults", service.address, method)

        done = grpcurl("root", "caller")
        self.assertEqual((done.returncode, json.loads(done.stdout or "{}").get("total")), (0, 0), done.stderr)
        for authority, caller, why in [
            ("other", "caller", "certificate signed by unknown authority"),
            # grpcurl keeps dialling and does not print the TLS alert.
            ("root", None, "Failed to dial"),
            ("root", "stranger", "Failed to dial"),
        ]:
            with self.subTest(authority=authority, caller=caller):
                done = grpcurl(authority, caller, "-connect-timeout", "2")
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertIn(why, done.stderr)


if __name__ == "__main__":
    unittest.main()
