from metaflow import FlowSpec, resources, step

class SpacedFlow( FlowSpec ):

    @resources( memory = 9000 )
    @step
    def start( self ):
        self.next( self.end )

    @resources( )
    @step
    def end( self ):
        pass

if __name__ == "__main__":
    SpacedFlow()
