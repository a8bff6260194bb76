"""Runs a command and prints its peak memory in KiB, whatever the memory of the process that wants to know.

usage: peak.py COMMAND [ARGUMENT]...
"""

import resource
import subprocess
import sys

subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
