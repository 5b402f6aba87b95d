"""References mean pages of the VM that names them, whatever numbers its neighbour has."""

from tests.e2e.rig import wait_for
from tests.hostile.agent import HEIGHT, WIDTH
from tests.hostile.field import Field
from tests.hostile.memory import use


def test_the_neighbours_references_are_ones_own_pages(field: Field) -> None:
    neighbour = field.bystander.agent
    secret = field.bystander_is_served()
    with field.hostile() as bad:
        mine = bad.agent.paint()
        assert neighbour.pages.refs.tolist() == bad.agent.pages.refs.tolist(), "both begin to count alike"
        use(bad.agent, neighbour.pages.refs.tolist())
        bad.agent.settle()
        x, y = bad.place
        wait_for("its own pixels", lambda: bool((field.screen.pixels(x, y, WIDTH, HEIGHT) == mine).all()))
        assert not (field.screen.pixels(x, y, WIDTH, HEIGHT) == secret).all()
        assert not bad.reason()
    field.bystander_is_shown()
