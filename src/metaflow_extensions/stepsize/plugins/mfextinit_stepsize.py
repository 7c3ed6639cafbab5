"""What the extension adds to Metaflow's plug-ins: the step decorator ``@stepsize``."""

STEP_DECORATORS_DESC = [("stepsize", ".decorator.StepsizeDecorator")]
