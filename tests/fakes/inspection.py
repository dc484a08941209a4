"""A company that inspects TLS: its own CA, which no system knows, signs a certificate for every host."""

import ssl
from pathlib import Path

import trustme


class Inspection:
    """The CA, in a file below *directory*, and what a server shows that stands behind the inspection."""

    def __init__(self, directory: Path, *hosts: str) -> None:
        authority = trustme.CA(organization_name="Inspection Ltd", organization_unit_name="Inspection Root CA")
        self.ca_file = str(directory / "inspection-ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*(hosts or ("127.0.0.1", "localhost"))).configure_cert(self.server)
