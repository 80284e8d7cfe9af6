"""What a project would write, or install, to push events to browsers: an application for each.

Each is as its documentation shows it, and as small. All send the same events, under the same
settings, and take their orders over the same line.
"""
