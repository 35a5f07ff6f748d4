"""The duties that one process does for all: ingest, the network's summary, dead workers, mail, pruning."""

from core.jobs.jobs import Chore, Jobs
from core.jobs.mail import Mailing
from core.jobs.post import make_post
from core.jobs.pruning import Pruning

__all__ = ["Chore", "Jobs", "Mailing", "Pruning", "make_post"]
