internal import Glibc
internal import MartletServer

/// `martlet doctor`: says what keeps others from reaching this server, and what to set.
enum DoctorCommand: Command {
  static let name = "doctor"
  static let summary = "Says what keeps others from reaching this server, and what to set"
  static let usage = "[--config FILE] [--stun HOST] [flags]"
  static let details = """
    Looks whether the ports are free, which addresses this machine has, what NAT is in the way (by a STUN server with two addresses,
    RFC 5780; any other tells less), and whether a remote viewer can reach the WebRTC candidates. Takes the settings of `serve`.
    Ends with 1 if there is a problem.
    """
  static var flags: [CommandFlag] { Doctor.flags }

  static func run(_ arguments: CommandLineArguments) async throws {
    _ = try arguments.operands()
    let workers = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    let findings = try await Doctor.examine(arguments, environment: Terminal.environment, workers: workers)
    for finding in findings { print("\(finding.level.rawValue.padded(to: 9))\(finding.text)") }
    if findings.contains(where: { $0.level == .problem }) { exit(Terminal.failure) }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
