// Who is signed in, and what they may do. The console decides; this only keeps buttons that would be refused away.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { api, body, Problem, setCsrf, whenSignedOut } from "../api/client";
import type { Role, Session } from "../api/types";
import { Loading, Unavailable } from "../components/states";

const SessionContext = createContext<Session | null>(null);

async function current(): Promise<Session | null> {
  try {
    const session = await body(api.GET("/session"));
    setCsrf(session.csrf);
    return session;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export const sessionKey = ["session"];

export function SessionProvider({ children, signIn }: { children: ReactNode; signIn: ReactNode }) {
  const queries = useQueryClient();
  const session = useQuery({ queryKey: sessionKey, queryFn: current, staleTime: Infinity });
  useEffect(() => whenSignedOut(() => queries.setQueryData(sessionKey, null)), [queries]);
  if (session.isPending) return <Loading label="Looking for a session" tall />;
  if (session.isError) return <Unavailable error={session.error} retry={() => void session.refetch()} tall />;
  if (!session.data) return signIn;
  return <SessionContext value={session.data}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("used outside of a session");
  return session;
}

const RANK: Record<Role, number> = { Auditor: 0, Operator: 1, Admin: 2 };

/** Whether the session's role is `least` or more. */
export function useMay(least: Role): boolean {
  return RANK[useSession().user.role] >= RANK[least];
}
