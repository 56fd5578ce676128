// One setting with its revision: read, changed in a form, written back only over what was read.
import { Alert, Button, Group, Stack } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { asProblem } from "../../api/client";
import { Panel } from "../../components/Page";
import { Loading, Unavailable } from "../../components/states";

export interface Versioned<Value> {
  value: Value;
  etag: string;
}

/** The value of an answer, with the `ETag` that a change is made over. */
export async function versioned<Value>(answer: Promise<{ data?: Value; response: Response }>): Promise<Versioned<Value>> {
  const { data, response } = await answer;
  return { value: data as Value, etag: response.headers.get("ETag") ?? "" };
}

interface Options<Value> {
  name: string;
  title: string;
  read: () => Promise<Versioned<Value>>;
  write: (value: Value, header: { "If-Match": string }) => Promise<unknown>;
  children: (value: Value, change: (value: Value) => void) => ReactNode;
}

export function SettingForm<Value>(options: Options<Value>) {
  const setting = useQuery({ queryKey: ["setting", options.name], queryFn: options.read });
  if (setting.isPending) return <Loading label={`Loading: ${options.title}`} />;
  if (setting.isError) return <Unavailable error={setting.error} retry={() => void setting.refetch()} />;
  return <Form key={setting.data.etag} {...options} start={setting.data} />;
}

function Form<Value>({ name, title, write, children, start }: Options<Value> & { start: Versioned<Value> }) {
  const queries = useQueryClient();
  const [value, setValue] = useState(start.value);
  const save = useMutation({
    mutationFn: () => write(value, { "If-Match": start.etag }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["setting", name] });
      notifications.show({ message: `${title}: saved.` });
    },
  });
  return (
    <Panel title={title} style={{ maxWidth: 860 }}>
      <form onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <Stack>
          {save.isError && <Alert color="red" role="alert" title={asProblem(save.error).title}>{asProblem(save.error).detail}</Alert>}
          {children(value, setValue)}
          <Group justify="flex-end"><Button type="submit" loading={save.isPending} disabled={value === start.value}>Save</Button></Group>
        </Stack>
      </form>
    </Panel>
  );
}
