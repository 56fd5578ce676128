import { Alert, Button, Divider, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "react-router";
import { api, asProblem, body, setCsrf } from "../api/client";
import type { Failure } from "../api/types";
import { Entrance } from "./Entrance";
import { sessionKey } from "./session";

export function SignIn() {
  const queries = useQueryClient();
  const location = useLocation();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const options = useQuery({ queryKey: ["session", "options"], queryFn: () => body(api.GET("/session/options")), retry: false });
  const signIn = useMutation({
    mutationFn: () => body(api.POST("/session", { body: { name, password } })),
    onSuccess: (session) => {
      setCsrf(session.csrf);
      queries.setQueryData(sessionKey, session);
    },
  });
  // The word that the console put there when a sign-in by the provider failed; out of the address once it is read.
  const [failure] = useState(() => new URLSearchParams(window.location.hash.slice(1)).get("sign-in"));
  const told = useQuery({
    queryKey: ["session", "options", failure], enabled: failure !== null, retry: false,
    queryFn: () => body(api.GET("/session/options", { params: { query: { failure: failure as Failure } } })),
  });
  const back = location.pathname + location.search;
  useEffect(() => {
    document.title = "Sign in · Moat";
    if (failure !== null) window.history.replaceState(window.history.state, "", back);
  }, [failure, back]);
  return (
    <Entrance title="Sign in to Moat" about="Runtime security for containers">
      <form onSubmit={(event) => { event.preventDefault(); signIn.mutate(); }}>
        <Stack>
          {told.data?.failure && signIn.isIdle && <Alert color="red" role="alert" title="Single sign-on did not succeed">{told.data.failure}</Alert>}
          {signIn.isError && (
            <Alert color="red" role="alert" title={asProblem(signIn.error).title}>{asProblem(signIn.error).detail}</Alert>
          )}
          <TextInput label="Name" autoComplete="username" required autoFocus value={name}
            onChange={(event) => setName(event.currentTarget.value)} />
          <PasswordInput label="Password" autoComplete="current-password" required value={password}
            onChange={(event) => setPassword(event.currentTarget.value)} />
          <Button type="submit" fullWidth loading={signIn.isPending}>Sign in</Button>
          {options.data?.oidc && (
            <>
              <Divider label="or" />
              <Button variant="default" component="a"
                href={`/api/v1/session/oidc?return=${encodeURIComponent(back)}`}>
                Sign in with {options.data.oidc}
              </Button>
            </>
          )}
        </Stack>
      </form>
    </Entrance>
  );
}
