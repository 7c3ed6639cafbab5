import functools

from metaflow import FlowSpec, resources, step, user_step_decorator


def logged(function):
    @functools.wraps(function)
    def wrapper(self):
        print(function.__name__)
        return function(self)

    return wrapper


@user_step_decorator
def timed(step_name, flow, inputs=None, attributes=None):
    yield


class DecoratedFlow(FlowSpec):
    @timed
    @resources(memory=9000)
    @step
    @logged
    def start(self):
        self.next(self.end)

    @timed
    @step
    def end(self):
        pass


if __name__ == "__main__":
    DecoratedFlow()
