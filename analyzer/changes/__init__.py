"""What changed from one report to the next.

``period`` reads what the attempts since the last report tell of each step, ``conditions`` says what stands out in it,
``savings`` what lower requests have saved, ``compare`` makes of both and of the last report's ``snapshot`` the changes:
each a sentence that a person can check.
"""
