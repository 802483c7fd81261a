/// Why a session description is refused: in its text, by line and column, or in its meaning, by section.
package enum SDPError: Error, Equatable, Sendable {
  /// The text does not follow the grammar. Line and column count from 1, the column in bytes of UTF-8.
  case syntax(line: Int, column: Int, expected: String, found: String)
  /// A size or count above its limit in `SDPLimits`; `line` is where it was passed.
  case limit(_ what: String, maximum: Int, line: Int)
  /// A description that parses and cannot be used; `section` is the index of the `m=` section, `nil` for the whole session.
  case unusable(section: Int?, _ why: String)
}

extension SDPError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .syntax(let line, let column, let expected, let found):
      "SDP line \(line), column \(column): expected \(expected), found \(found.isEmpty ? "the end of the line" : "\"\(found)\"")"
    case .limit(let what, let maximum, let line): "SDP line \(line): \(what) exceed the limit of \(maximum)"
    case .unusable(let section?, let why): "SDP section \(section): \(why)"
    case .unusable(nil, let why): "SDP session: \(why)"
    }
  }
}
