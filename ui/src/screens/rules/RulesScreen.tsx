export default function RulesScreen(_: { id?: string; search?: string }) { return null; }
