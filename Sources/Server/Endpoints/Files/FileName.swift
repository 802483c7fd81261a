package import MartletPrimitives

/// A file's name below the files' folder: segments with `/` between that are safe on a disk, in a URL, in a header field, and
/// on the disk of whoever downloads it.
package struct FileName: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package var description: String { text }

  /// The channel `files/NAME` must be a name, too.
  package static let maximumBytes = 240
  /// The server's own files beside it have longer names.
  package static let maximumSegment = 200

  /// - Parameter depth: segments before the last.
  package init(_ text: String, depth: Int = 8) throws(ParseError) {
    guard text.utf8.count <= Self.maximumBytes else { throw .limit("a file's name in bytes", maximum: Self.maximumBytes) }
    let segments = text.split(separator: "/", omittingEmptySubsequences: false)
    guard segments.count <= depth + 1 else { throw .limit("the folders of a file's name (files.depth)", maximum: depth) }
    for segment in segments {
      if let reason = Self.problem(segment) { throw .invalid(reason, at: 0) }
    }
    self.text = text
  }

  private init(safe text: String) { self.text = text }

  package var folder: String { text.lastIndex(of: "/").map { String(text[..<$0]) } ?? "" }
  package var last: String { text.lastIndex(of: "/").map { String(text[text.index(after: $0)...]) } ?? text }

  private static func problem(_ segment: Substring) -> String? {
    if segment.isEmpty { return "an empty segment in a file's name" }
    if segment.utf8.count > maximumSegment { return "a segment of more than \(maximumSegment) bytes in a file's name" }
    // Also `.` and `..`; hidden names are the server's own.
    if segment.utf8.first == UInt8(ascii: ".") { return "a segment that begins with a dot in a file's name" }
    if segment.hasSuffix(".") || segment.hasSuffix(" ") || segment.hasPrefix(" ") {
      return "a segment that begins with a space, or ends with a space or a dot, in a file's name"
    }
    if !segment.unicodeScalars.allSatisfy(isSafe) { return "a control character or backslash in a file's name" }
    if isDevice(segment) { return "a name that Windows keeps for a device" }
    return nil
  }

  /// No control character, and none that changes the direction of what is read.
  private static func isSafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x5C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFF: false
    default: true
    }
  }

  private static let devices: Set<String> = Set(
    ["con", "prn", "aux", "nul"] + (0...9).flatMap { ["com\($0)", "lpt\($0)"] })

  private static func isDevice(_ segment: Substring) -> Bool { devices.contains(segment.prefix { $0 != "." }.lowercased()) }

  /// What can be kept of a name that somebody's disk gave a file; never a folder.
  package static func safe(_ suggestion: String?) -> FileName {
    // Some browsers once sent whole paths.
    let last = (suggestion ?? "").split(whereSeparator: { $0 == "/" || $0 == "\\" }).last ?? ""
    var text = ""
    for scalar in last.unicodeScalars {
      text.unicodeScalars.append(isSafe(scalar) && !"<>:\"|?*".unicodeScalars.contains(scalar) ? scalar : "_")
    }
    var rest = Substring(text)
    while let first = rest.unicodeScalars.first, first == "." || first == " " { rest = Substring(rest.unicodeScalars.dropFirst()) }
    while let end = rest.unicodeScalars.last, end == "." || end == " " { rest = Substring(rest.unicodeScalars.dropLast()) }
    // The extension survives, when it is one.
    let dot = rest.lastIndex(of: ".") ?? rest.endIndex
    var (stem, suffix) = (rest[..<dot], rest[dot...])
    if suffix.utf8.count > 20 { (stem, suffix) = (rest, "") }
    while stem.utf8.count + suffix.utf8.count > 150 { stem = stem.dropLast() }
    let joined = String(stem) + String(suffix)
    if joined.isEmpty { return FileName(safe: "file") }
    if let name = try? FileName(joined) { return name }
    return (try? FileName("_" + joined)) ?? FileName(safe: "file")
  }

  /// The same with something before the extension that makes it another name.
  internal func variant(_ addition: String) -> FileName {
    let last = last
    guard let dot = last.lastIndex(of: "."), dot != last.startIndex else { return FileName(safe: text + "-" + addition) }
    let stem = text.dropLast(last.distance(from: dot, to: last.endIndex))
    return FileName(safe: stem + "-" + addition + last[dot...])
  }

  // MARK: The server's own files beside it

  internal static let mark = ".martlet-"
  internal var partName: String { "." + last + Self.mark + "part" }
  internal var stateName: String { "." + last + Self.mark + "state" }

  /// The name of the upload whose state this is.
  internal static func name(ofState entry: String, in folder: String) -> FileName? {
    let suffix = mark + "state"
    guard entry.hasPrefix("."), entry.hasSuffix(suffix) else { return nil }
    let last = entry.dropFirst().dropLast(suffix.count)
    return try? FileName(folder.isEmpty ? String(last) : folder + "/" + last, depth: 64)
  }
}
