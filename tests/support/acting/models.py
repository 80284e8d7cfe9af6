from django.db import models


class Effect(models.Model):
    """That a handler has handled an entry."""

    handler = models.CharField(max_length=100)
    position = models.BigIntegerField()
    stream = models.CharField(max_length=128)
    seq = models.BigIntegerField()
    process = models.BigIntegerField()

    class Meta:
        app_label = "acting"

    def __str__(self):
        return f"{self.handler} {self.position}"
