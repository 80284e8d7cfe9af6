from django.db import migrations

import events.fields


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_stream_life"),
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="context",
            field=events.fields.PayloadField(blank=True, null=True),
        ),
    ]
