export default function AlertScreen(_: { id?: string; search?: string }) { return null; }
