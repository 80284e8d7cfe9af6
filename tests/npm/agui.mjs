// One run of AG-UI's agent, which tells what it hears.
import { parentPort, workerData } from "node:worker_threads";
import { HttpAgent } from "@ag-ui/client";

const agent = new HttpAgent({ url: workerData, threadId: "t1" });
await agent.runAgent(
  { runId: "r1" },
  { onTextMessageContentEvent: ({ event }) => parentPort.postMessage(event.delta) },
);
