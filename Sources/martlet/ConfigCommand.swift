internal import Glibc
internal import MartletServer

/// `martlet config`: finds mistakes in a configuration file, or shows what one may hold.
enum ConfigCommand: Command {
  static let name = "config"
  static let summary = "Checks a configuration file, or prints an annotated one"
  static let usage = "check FILE | example | reference"
  static let details = """
    check      says what is wrong with FILE, each with its line, and ends with 78 if anything is
    example    prints every setting with its default and what it means
    reference  prints the page docs/configuration.md
    """

  static func run(_ arguments: CommandLineArguments) async throws {
    switch arguments.operands.first {
    case "check": try check(try arguments.operands("what to do", "the FILE to check")[1])
    case "example": print(ConfigurationDocuments.example, terminator: "")
    case "reference": print(ConfigurationDocuments.reference, terminator: "")
    case nil: throw UsageError("what to do is missing: check FILE, example or reference")
    case let other?:
      let meant = Suggestion.nearest(to: other, among: ["check", "example", "reference"]).map { "; did you mean \($0)?" }
      throw UsageError("\"\(other)\" is none of check, example and reference\(meant ?? "")")
    }
  }

  private static func check(_ name: String) throws {
    let text: [UInt8]
    do throws(FileError) { text = try SmallFile.read(name) } catch { throw UsageError("\(error)") }
    _ = try ConfigurationLoader.load(ConfigurationSources(file: .init(name: name, text: text)))
    print("\(name) is good")
  }
}
