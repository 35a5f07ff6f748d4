"""The duties that one process does for all: ingest, the summary, dead workers, scores, mail, pruning."""

from core.jobs.abuse import AbuseWatch
from core.jobs.jobs import Chore, Jobs
from core.jobs.mail import Mailing
from core.jobs.overviews import Overviews
from core.jobs.places import PlacesUpkeep
from core.jobs.post import make_post
from core.jobs.pruning import Pruning
from core.jobs.scoring import Scoring
from core.jobs.statistics import DailyUpkeep

__all__ = [
    "AbuseWatch",
    "Chore",
    "DailyUpkeep",
    "Jobs",
    "Mailing",
    "Overviews",
    "PlacesUpkeep",
    "Pruning",
    "Scoring",
    "make_post",
]
