// Behind the one-time link that the console prints at its first start: the first administrator.
import { Alert, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { api, asProblem, body, setCsrf } from "../api/client";
import { Entrance } from "./Entrance";
import { sessionKey } from "./session";

const SHORTEST = 12;

export function Setup() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  // After the #, so that it reaches no server's log; out of the address at once, so that it stays in no history.
  const [token] = useState(() => window.location.hash.slice(1));
  const [name, setName] = useState("admin");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  useEffect(() => {
    document.title = "Set up · Moat";
    window.history.replaceState(window.history.state, "", "/setup");
  }, []);
  const setup = useMutation({
    mutationFn: () => body(api.POST("/session/setup", { body: { token, name, password } })),
    onSuccess: (session) => {
      setCsrf(session.csrf);
      queries.setQueryData(sessionKey, session);
      void navigate("/overview", { replace: true });
    },
  });
  if (!token) {
    return (
      <Entrance title="The link is not whole" about="Setting up needs the link that the console printed at its first start.">
        <Text size="sm">Open it as printed, with everything after the #. It works once. A new one is printed by{" "}
          <span className="mono">moat console user link</span>.</Text>
      </Entrance>
    );
  }
  const short = password.length > 0 && password.length < SHORTEST;
  const differs = again.length > 0 && again !== password;
  return (
    <Entrance title="Welcome to Moat" about="You are the first here. Choose how the first administrator signs in.">
      <form onSubmit={(event) => { event.preventDefault(); setup.mutate(); }}>
        <Stack>
          {setup.isError && (
            <Alert color="red" role="alert" title={asProblem(setup.error).title}>{asProblem(setup.error).detail}</Alert>
          )}
          <TextInput label="Name" autoComplete="username" required value={name}
            onChange={(event) => setName(event.currentTarget.value)} />
          <PasswordInput label="Password" description={`${SHORTEST} characters or more`} autoComplete="new-password" required
            error={short && "Too short"} value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
          <PasswordInput label="Password, again" autoComplete="new-password" required error={differs && "Not the same"}
            value={again} onChange={(event) => setAgain(event.currentTarget.value)} />
          <Button type="submit" fullWidth loading={setup.isPending}
            disabled={password.length < SHORTEST || again !== password}>Start</Button>
        </Stack>
      </form>
    </Entrance>
  );
}
