/// The annotated example file and the reference page, made from the tables of keys so that they cannot be out of step.
package enum ConfigurationDocuments {
  private static let width = 110

  // MARK: The example file

  /// A file that says what the defaults say, with a word on each setting.
  package static var example: String {
    var text = """
      # Martlet's configuration: every setting with its default. Delete what you do not change.
      # A flag wins over an environment variable, that over this file. `martlet config check FILE` finds mistakes.
      # Settings marked "reloads" take effect on SIGHUP (systemctl reload martlet); the others at the next start.


      """
    write(ConfigurationSections.root, depth: 0, [], &text)
    return text
  }

  private static func write(_ section: SettingSection, depth: Int, _ path: [String], _ text: inout String) {
    let indent = String(repeating: "  ", count: depth)
    for key in section.keys {
      comment(key.doc + (key.isReloadable ? " (reloads)" : ""), indent, &text)
      let value = key.write(ServerConfiguration())
      if let example = key.example {
        text += "\(indent)# \(key.name): \(example)\n"
      } else {
        text += "\(indent)\(key.name): \(value)\n"
      }
    }
    for inner in section.sections {
      text += "\n"
      comment(inner.doc, indent, &text)
      text += "\(indent)\(inner.name):\n"
      write(inner, depth: depth + 1, path + [inner.name], &text)
    }
  }

  private static func comment(_ sentence: String, _ indent: String, _ text: inout String) {
    for line in wrapped(sentence, to: width - indent.count) { text += "\(indent)# \(line)\n" }
  }

  private static func wrapped(_ sentence: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in sentence.split(separator: " ") {
      if !line.isEmpty, line.count + word.count + 1 > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return line.isEmpty ? lines : lines + [line]
  }

  // MARK: The reference page

  package static var reference: String {
    var text = """
      # Configuration

      <!-- Made by `martlet config reference`; a test compares it. -->

      Every setting can be written in the YAML file given with `--config` (or `MARTLET_CONFIG`), as an environment variable, and
      the common ones as a flag. A flag wins over an environment variable, that over the file, that over the default. Lists in an
      environment variable are words with commas between; structures are YAML. Unknown keys and wrong values are errors that name
      the line; `martlet config check FILE` shows all of them, `martlet config example` prints [the annotated
      file](martlet.example.yaml).

      Durations are written as `500ms`, `10s`, `2m`, `1h` or `1d`, sizes as `64KiB` or `16MiB`. What *reloads* is taken over on
      SIGHUP without a restart; of the rest the log says that it waits for one.

      """
    write(ConfigurationSections.root, [], &text)
    return text
  }

  private static func write(_ section: SettingSection, _ path: [String], _ text: inout String) {
    if !section.keys.isEmpty {
      text += "\n## \(path.isEmpty ? "Top of the file" : "`" + path.joined(separator: ".") + "`")\n\n"
      if !section.doc.isEmpty { text += section.doc + "\n\n" }
      text += "| key | value | default | environment, flag | |\n| --- | --- | --- | --- | --- |\n"
      for key in section.keys { text += row(SettingSection.Located(path: path + [key.name], key: key)) }
    }
    for inner in section.sections { write(inner, path + [inner.name], &text) }
  }

  private static func row(_ setting: SettingSection.Located) -> String {
    let key = setting.key
    let value = key.write(ServerConfiguration())
    let flag = key.flag.map { ", `--\($0)`" } ?? ""
    let doc = key.doc + (key.isReloadable ? " *Reloads.*" : "") + (key.example.map { " Example: `\(escaped($0))`." } ?? "")
    return
      "| `\(key.name)` | \(escaped(key.expected)) | `\(escaped(value))` | `\(setting.environment)`\(flag) | \(escaped(doc)) |\n"
  }

  private static func escaped(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}
