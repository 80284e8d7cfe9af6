// An answer of the chat, read from its durable stream: from the start, or on from the last offset
// after whatever cut the connection.
const page = document.querySelector("[data-stream]");
const answer = document.querySelector("[data-part=answer]");
const state = document.querySelector("[data-part=state]");

function follow(offset) {
  const source = new EventSource(`${page.dataset.address}?offset=${offset}&live=sse`);
  let batch = [];
  // What is shown and the offset after it change together: a cut in between repeats nothing.
  source.addEventListener("data", (event) => batch.push(...JSON.parse(event.data)));
  source.addEventListener("control", (event) => {
    const control = JSON.parse(event.data);
    answer.append(...batch.map((message) => message.token));
    batch = [];
    offset = control.streamNextOffset;
    state.textContent = control.streamClosed ? "complete" : "writing";
    if (control.streamClosed) source.close();
  });
  source.onerror = () => {
    source.close();
    state.textContent = "connecting";
    setTimeout(() => follow(offset), 500);
  };
}

if (page.dataset.stream) follow("-1");
