from metaflow import FlowSpec, step, resources

class TabsFlow(FlowSpec):
	@resources
	@step
	def start(self):
		self.next(self.end)

	@step
	def end(self):
		pass

if __name__ == "__main__":
	TabsFlow()
