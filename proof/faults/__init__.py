"""A test from outside: many processes write, read and die, and a checker judges what they saw.

A run is a few rounds (`make faults`), each a world of its own:

    rounds     what each has of servers and writers, and which faults strike it
    world      starts all of that, lets the faults strike, and lets it come to rest
    nemeses/   the faults, one class each: `strike` and `heal`
    servers    uvicorn and daphne with the example site, killed and started again
    stores     a database for each round; `disk` a small disk
    proxy      between clients and servers: it can stop forwarding without closing
    layer      a channel layer that loses, doubles, delays and falsifies hints
    clock      a clock that jumps back and forth

The processes that write the history:

    plan       what a writer does next, drawn from a seed
    writer     does it, and writes down what became of it
    nursery    emitters that kill themselves at a given step (`kill_points`)
    reader     follows the log with many limits and filters, and writes down every page
    clients    follow it from outside: WebSocket, Server-Sent Events, long-polling, tail()
    storm      a thousand of them; `revoked`: some whose permission is taken away
    tokens     produces durable streams, and follows each over every transport
    crowd      one user who wants more connections than one may have
    probe      somebody who asks for little, beside one user who asks for everything
    crashes    processes that stop, sit, die and cut other people's connections
    worker     one process: `python -m proof.faults.worker ROLE OPTIONS`
    handling/  an app with handlers, and `runners` the processes that run them; `acted` writes down
               what they have done
    receiver   the other side of webhooks; `hooked` makes their endpoints, and writes down what each
               has been sent
    team       starts processes, and sees to it that none of them outlives its test

And those who judge it:

    record     what the processes write down, a JSON line at a time
    history    all of that, and what follows from it
    checker    everything that a history must keep to, by name (`checks/`)
    excerpt    the lines that a broken invariant is about

Only public names are used (`events.emit` and its kin, `events.logs`), with one exception: a process
that is to stop in the middle of an append has to be told where the middle is.
"""
