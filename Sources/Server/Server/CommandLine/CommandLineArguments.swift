/// What was wrong with the command line, and what to do; the process ends with 64 (EX_USAGE).
package struct UsageError: Error, Equatable, Sendable {
  package let reason: String
  package init(_ reason: String) { self.reason = reason }
}

/// A flag that a command takes.
package struct CommandFlag: Sendable {
  /// Without the dashes.
  package let name: String
  /// What stands for its value in the help; `nil` for a flag without one.
  package let value: String?
  package let doc: String
  package var isRepeatable = false

  package init(_ name: String, _ value: String?, _ doc: String, repeatable: Bool = false) {
    self.name = name
    self.value = value
    self.doc = doc
    isRepeatable = repeatable
  }
}

/// A command line taken apart: `--flag value`, `--flag=value`, `--switch`, and what is left. `--` ends the flags.
package struct CommandLineArguments: Sendable {
  package private(set) var flags: [(name: String, value: String)] = []
  package private(set) var operands: [String] = []
  package private(set) var wantsHelp = false

  package init(_ arguments: some Sequence<String>, accepting accepted: [CommandFlag]) throws(UsageError) {
    var rest = Array(arguments)[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        operands += rest
        return
      }
      if argument == "--help" || argument == "-h" {
        wantsHelp = true
      } else if argument.hasPrefix("-"), argument.count > 1 {
        try read(argument, &rest, accepted)
      } else {
        operands.append(argument)
      }
    }
  }

  private mutating func read(_ argument: String, _ rest: inout ArraySlice<String>, _ accepted: [CommandFlag]) throws(UsageError) {
    let parts = argument.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.first.map(String.init) ?? ""
    guard argument.hasPrefix("--"), let flag = accepted.first(where: { $0.name == name }) else {
      let meant = Suggestion.nearest(to: name, among: accepted.map(\.name) + ["help"]).map { "; did you mean --\($0)?" }
      throw UsageError("unknown flag \(argument.split(separator: "=").first ?? "")\(meant ?? "; --help lists those there are")")
    }
    guard flag.isRepeatable || !flags.contains(where: { $0.name == name }) else { throw UsageError("--\(name) is given twice") }
    if parts.count == 2 { return flags.append((name, String(parts[1]))) }
    guard let placeholder = flag.value else { return flags.append((name, "true")) }
    guard let value = rest.first, !value.hasPrefix("--") else { throw UsageError("--\(name) needs a value: --\(name) \(placeholder)") }
    rest.removeFirst()
    flags.append((name, value))
  }

  package subscript(name: String) -> String? { flags.last { $0.name == name }?.value }
  package func all(_ name: String) -> [String] { flags.filter { $0.name == name }.map(\.value) }

  /// The operands, when there are exactly as many as names for them.
  package func operands(_ names: String...) throws(UsageError) -> [String] {
    if operands.count > names.count { throw UsageError("\"\(operands[names.count])\" is one argument too many") }
    if operands.count < names.count { throw UsageError("\(names[operands.count]) is missing") }
    return operands
  }

  /// The flags as lines of a help text.
  package static func help(_ flags: [CommandFlag]) -> String {
    let names = flags.map { "--" + $0.name + ($0.value.map { " " + $0 } ?? "") }
    let width = (names.map(\.count).max() ?? 0) + 2
    return zip(names, flags).map { name, flag in
      "  " + name + String(repeating: " ", count: width - name.count) + flag.doc
    }.joined(separator: "\n")
  }
}
