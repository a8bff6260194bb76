"""Makes a container in Azurite, which checks signatures.

usage: make_container.py BLOB_URL CONTAINER
"""

import base64
import datetime
import hashlib
import hmac
import sys
import urllib.request

# Azurite's own account and key, which its documentation publishes.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

url, container = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
headers = f"x-ms-date:{now}\nx-ms-version:2021-12-02\n"
# The account stands twice: once for the signature, once as the first segment of the emulator's paths.
text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
request = urllib.request.Request(
    f"{url}/{ACCOUNT}/{container}?restype=container",
    method="PUT",
    headers={
        "x-ms-date": now,
        "x-ms-version": "2021-12-02",
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
        "Content-Length": "0",
    },
)
urllib.request.urlopen(request).close()
