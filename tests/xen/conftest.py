"""What is in `inside` runs in dom0, where XEN_RESULTS is set, and nowhere else."""

import os

collect_ignore = [] if "XEN_RESULTS" in os.environ else ["inside"]
