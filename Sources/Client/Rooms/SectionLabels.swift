/// What each section of a description carries, where its kind does not say it: `a=content:slides` is of a screen (RFC 4796),
/// `a=label:PARTICIPANT.SOURCE` of whom a supernode passes on (RFC 4574).
internal struct SectionLabels {
  internal struct Content: Equatable, Sendable {
    /// `nil` for the other side itself.
    var participant: String?
    var source: Room.Source
  }

  /// By mid.
  internal private(set) var contents: [String: Content] = [:]
  /// Which session a description is of (RFC 8866 §5.2): the numeric id of its `o=` line.
  internal private(set) var session: Substring?

  internal init(_ sdp: String) {
    var section: (kind: Substring, mid: Substring?, label: Substring?, isScreen: Bool)?
    for line in sdp.split(whereSeparator: \.isNewline) {
      if line.hasPrefix("m=") {
        take(section)
        section = (line.dropFirst(2).prefix { $0 != " " }, nil, nil, false)
      } else if line.hasPrefix("a=mid:") {
        section?.mid = line.dropFirst(6)
      } else if line.hasPrefix("a=label:") {
        section?.label = line.dropFirst(8)
      } else if line == "a=content:slides" {
        section?.isScreen = true
      } else if line.hasPrefix("o="), session == nil {
        session = line.split(separator: " ").dropFirst().first
      }
    }
    take(section)
  }

  private mutating func take(_ section: (kind: Substring, mid: Substring?, label: Substring?, isScreen: Bool)?) {
    guard let section, let mid = section.mid else { return }
    let parts = section.label?.split(separator: ".", maxSplits: 1) ?? []
    if parts.count == 2, let source = Room.Source(rawValue: String(parts[1])) {
      contents[String(mid)] = Content(participant: String(parts[0]), source: source)
    } else if section.kind == "audio" || section.kind == "video" {
      let sources: (Room.Source, Room.Source) = section.kind == "audio" ? (.microphone, .screenAudio) : (.camera, .screen)
      contents[String(mid)] = Content(participant: nil, source: section.isScreen ? sources.1 : sources.0)
    }
  }

  /// - Parameter screens: mids of the sections in which we send a screen.
  internal static func marking(_ screens: Set<String>, in sdp: String) -> String {
    guard !screens.isEmpty else { return sdp }
    return sdp.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map { line in
      line.hasPrefix("a=mid:") && screens.contains(String(line.dropFirst(6))) ? "\(line)\r\na=content:slides" : String(line)
    }.joined(separator: "\r\n")
  }
}
