export default function HealthScreen(_: { id?: string; search?: string }) { return null; }
