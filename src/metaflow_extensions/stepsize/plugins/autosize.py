"""The step decorator ``autosize``: the step asks for what its history says, and is tracked.

What comes in: Metaflow's calls. What goes out: other amounts of cores and memory in the launcher's decorators, and a
variable that tells the attempt's process of them. All is decided once, in the launcher (`sizing`); a task, in a pod or
here, only tells what it was given. Never fails a flow: what goes wrong is said, and leaves the flow's request.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from metaflow_extensions.stepsize.plugins.decorator import StepsizeDecorator
from metaflow_extensions.stepsize.plugins.guard import never_raises

if TYPE_CHECKING:
    from metaflow_extensions.stepsize.plugins.sizing import Launch


class AutosizeDecorator(StepsizeDecorator):
    """Sizes the step's cores and memory by what its tasks used before, and tracks them.

    Parameters
    ----------
    policy : str, optional, default None
        How to size: cheap, balanced, safe, or an installed plug-in. Where it is not given: balanced where a retry can
        be given more memory (a run on ``@kubernetes`` or ``@batch``, with ``@retry``), else safe.
    min_memory : int, optional, default None
        The least MB that the step gets, whatever its history says.
    max_memory : int, optional, default None
        The most MB that its history, or running out of memory, may raise it to; what the flow asks for is no raise.
    min_cpu : float, optional, default None
        The fewest cores that the step gets.
    max_cpu : float, optional, default None
        The most cores that its history may raise it to.
    """

    name = "autosize"
    defaults: ClassVar[dict[str, Any]] = {
        "policy": None,
        "min_memory": None,
        "max_memory": None,
        "min_cpu": None,
        "max_cpu": None,
    }

    _deciding: ClassVar[Any] = threading.Lock()
    """Metaflow makes a run's package in a thread beside the one that starts it: both come here, one decides."""
    _launch: Launch | None = None
    _asked = False

    @never_raises
    def step_init(
        self, flow: Any, graph: Any, step: str, decorators: Any, environment: Any, flow_datastore: Any, *more: Any
    ) -> None:
        """In a process that hands a task on to another machine: so is what it was given."""
        super().step_init(flow, graph, step, decorators, environment, flow_datastore, *more)
        from metaflow_extensions.stepsize.plugins.request import is_remote  # noqa: PLC0415 - as in `decorator`
        from metaflow_extensions.stepsize.plugins.sized import VARIABLE, of_step  # noqa: PLC0415 - as above

        if is_remote(decorators, sys.argv) and of_step(os.environ, flow.name, step):
            from metaflow_extensions.stepsize.plugins.remote import give  # noqa: PLC0415 - as above

            give(decorators, {VARIABLE: os.environ[VARIABLE]}, sys.argv)

    @never_raises
    def package_init(self, flow: Any, step: str, environment: Any) -> None:
        """In the launcher, of runs and of deployments, when every decorator of every step is there."""
        self._size(flow)
        super().package_init(flow, step, environment)

    @never_raises
    def runtime_init(self, flow: Any, *more: Any) -> None:
        """In the launcher of a run, before its first task."""
        self._size(flow)
        super().runtime_init(flow, *more)

    @never_raises
    def runtime_step_cli(self, cli_args: Any, retry_count: int, max_user_code_retries: int, *more: Any) -> None:
        """In the launcher of a run, before each attempt: more memory where the one before ran out of it."""
        super().runtime_step_cli(cli_args, retry_count, max_user_code_retries, *more)
        launch = _first(cli_args.task.flow)._launch  # noqa: SLF001 - another of this class
        if launch is not None and retry_count <= max_user_code_retries:  # beyond is `@catch`'s, on this machine
            launch.give(cli_args, self._flow_datastore, retry_count)

    def _size(self, flow: Any) -> None:
        with self._deciding:
            first = _first(flow)
            if first._asked:  # noqa: SLF001 - as above
                return
            first._asked = True  # noqa: SLF001 - as above; whatever becomes of it, it is asked once
            try:
                from metaflow_extensions.stepsize.plugins.sizing import size  # noqa: PLC0415 - as above

                first._launch = size(flow, os.environ, sys.argv)  # noqa: SLF001 - as above
            except Exception as error:  # noqa: BLE001 - a launcher without the whole of stepsize, a Metaflow unknown to us
                from metaflow.cli import echo_always  # noqa: PLC0415 - as above

                echo_always(f"stepsize: @autosize: {error!r}. What the flow says holds.")


def _first(flow: Any) -> AutosizeDecorator:
    """The one that keeps what the launch decided."""
    return next(one for step in flow for one in step.decorators if isinstance(one, AutosizeDecorator))
