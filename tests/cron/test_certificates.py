"""Conditions of TLS certificates, by handshakes with a real server."""

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cron.certificates import CertificateWatcher
from cron.notify import NotifySettings

NOW = datetime.now(UTC)


class TlsServer:
    """A server on a free port of loopback, which answers handshakes and no more."""

    def __init__(self, folder):
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def certify(self, days_left, address="127.0.0.1"):
        """Use a certificate of an address from now on; return the file to trust it by."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = x509.CertificateBuilder(
            name, name, self._key.public_key(), x509.random_serial_number(),
            NOW - timedelta(days=90), NOW + timedelta(days=days_left),
        )  # fmt: skip
        builder = builder.add_extension(alternative, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        file = self._folder / "certificate.pem"
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        file.write_bytes(key + signed.public_bytes(serialization.Encoding.PEM))
        self._context.load_cert_chain(file)
        return file

    def _answer(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:  # shut down
                return
            try:
                self._context.wrap_socket(connection, server_side=True).close()
            except OSError:  # the client does not trust the certificate
                connection.close()


def test_a_certificate_is_an_alarm_before_it_ends_and_when_it_is_not_valid(tmp_path, monkeypatch):
    """Two weeks before, urgent two days before; once an hour; without an answer for a day too."""
    now = NOW
    with TlsServer(tmp_path) as server:
        watcher = CertificateWatcher([server.host], min_days=14)

        def level(days_left, address="127.0.0.1"):
            nonlocal now
            file = server.certify(days_left, address)
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
            assert [*watcher.conditions(now)]
            assert not [*watcher.conditions(now + timedelta(minutes=59))]
            now += timedelta(hours=1)
            (found,) = watcher.conditions(now)
            now += timedelta(hours=1)
            assert {found.name} == watcher.names
            return found.level, found.text

        assert level(30)[0] == 0
        assert level(10)[0] == 1
        assert level(1.5)[0] == 2
        assert level(30)[0] == 0
        assert "expired" in level(-1)[1]
        assert level(30, "127.0.0.2")[0] == 2
        monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
        (untrusted,) = watcher.conditions(now)
        assert (untrusted.level, "not valid" in untrusted.text) == (2, True)
    later = [[*watcher.conditions(now + timedelta(hours=hours))] for hours in (1, 24, 25)]
    assert [[one.level for one in found] for found in later] == [[], [], [1]]


@pytest.mark.parametrize("host", ["https://example.org", "example.org/", "a:0x1", "a:65536", ""])
def test_a_host_that_is_not_one_is_refused(host):
    """The message shows the form; a name, an address and a port are accepted."""
    with pytest.raises(ValueError, match="host or host:port"):
        NotifySettings(certificates=(host,))
    NotifySettings(certificates=("example.org", "10.0.0.1:8443", "[::1]:443"))
