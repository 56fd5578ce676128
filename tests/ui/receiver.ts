// A receiver of notifications, as somebody's own: it takes what it is sent, or refuses what its owner does not like.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Receiver {
  url: string;
  /** Bodies of the requests that it took, newest last. */
  taken: string[];
  /** Batches with this text in them are refused as malformed; null takes everything. */
  refuses: string | null;
  close: () => void;
}

export async function receiver(): Promise<Receiver> {
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      const refused = own.refuses !== null && text.includes(own.refuses);
      if (!refused) own.taken.push(text);
      response.writeHead(refused ? 400 : 200).end(refused ? "no angle brackets here" : "thanks");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    taken: [],
    refuses: null,
    close: () => server.close(),
  };
  return own;
}
