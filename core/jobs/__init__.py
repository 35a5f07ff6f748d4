"""The duties that one process does for all: ingest, epochs, the summary, dead workers, scores, mail."""

from core.jobs.abuse import AbuseWatch
from core.jobs.epochs import Epochs
from core.jobs.inputs import InputsUpkeep
from core.jobs.jobs import Chore, Jobs
from core.jobs.ledger import LedgerCheck
from core.jobs.mail import Mailing
from core.jobs.overviews import Overviews
from core.jobs.places import PlacesUpkeep
from core.jobs.post import make_post
from core.jobs.pruning import Pruning
from core.jobs.referrals import ReferralUpkeep
from core.jobs.scoring import Scoring
from core.jobs.settling import Settling
from core.jobs.statistics import DailyUpkeep

__all__ = [
    "AbuseWatch",
    "Chore",
    "DailyUpkeep",
    "Epochs",
    "InputsUpkeep",
    "Jobs",
    "LedgerCheck",
    "Mailing",
    "Overviews",
    "PlacesUpkeep",
    "Pruning",
    "ReferralUpkeep",
    "Scoring",
    "Settling",
    "make_post",
]
