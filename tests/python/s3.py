"""S3 for tests: moto's server, whose objects and open uploads are in a file while it is stopped.

usage: s3.py FILE    prints `Running on http://127.0.0.1:<port>`; ends at SIGINT
"""

import os
import pickle
import signal
import sys
import threading

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

STATE = sys.argv[1]
PARTITION = "aws"

# Of all threads, so that only this one takes it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
buckets = s3_backends[DEFAULT_ACCOUNT_ID][PARTITION].buckets
if os.path.exists(STATE):
    with open(STATE, "rb") as file:
        buckets.update(pickle.load(file))
    s3_backends.bucket_accounts.update(dict.fromkeys(buckets, (PARTITION, DEFAULT_ACCOUNT_ID)))
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(f"Running on http://127.0.0.1:{server.get_host_and_port()[1]}", flush=True)
signal.sigwait({signal.SIGINT})
server.stop()
# Requests that came before.
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(10)
with open(STATE, "wb") as file:
    pickle.dump(dict(buckets), file)
