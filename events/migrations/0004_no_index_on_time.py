from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0003_context"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="event", name="events_event_time"),
    ]
