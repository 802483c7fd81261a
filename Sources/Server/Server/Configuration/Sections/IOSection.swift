/// How bytes leave.
internal enum IOSection {
  static let section = SettingSection(
    "io", "How the server talks to the kernel.",
    [
      SettingKey(
        "uring", \.io.uring, .choice,
        "Writes of many viewers in one system call through io_uring: auto where the kernel allows it, off where it is not wanted.")
    ])
}
