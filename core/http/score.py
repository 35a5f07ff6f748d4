"""The score of a node, and the formulas that scores were made by."""

from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from core.http.openapi import fails
from core.http.permissions import may
from services.score import Score, Scores
from services.tokens import Principal
from storage.base import ScoreFormula


class ScoreFormulas(Struct):
    """All versions of the formula, the oldest first; the last is in use."""

    items: list[ScoreFormula]


@get("/nodes/{node_id:uuid}/score", opt=may("user"), responses=fails("node_not_found"))
async def node_score(
    node_id: FromPath[UUID], principal: NamedDependency[Principal], scores: NamedDependency[Scores]
) -> Score:
    """The score of one of one's nodes, and all that it was made from; the staff sees everybody's."""
    return await scores.of_node(principal, node_id)


@get("/network/score-formulas", opt=may("anyone"), responses=fails())
async def score_formulas(scores: NamedDependency[Scores]) -> ScoreFormulas:
    """By what formula scores are computed, and by which they were before."""
    return ScoreFormulas(await scores.formulas())


node_scores = Router("/", route_handlers=[node_score], tags=["nodes"])
formulas = Router("/", route_handlers=[score_formulas], tags=["network"])
