/// How many columns of a terminal characters take.
///
/// A wide character (East Asian Width W or F, Unicode Standard Annex #11) or a picture takes two columns. A mark that
/// combines with a letter is part of its character and takes none.
extension Character {
    var columns: Int {
        guard let first = unicodeScalars.first, first.value >= 0x300 else { return 1 }
        if first.properties.isEmojiPresentation { return 2 }
        if Self.wide.contains(where: { $0.contains(first.value) }) { return 2 }
        return switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark: 0
        default: 1
        }
    }

    /// The blocks of wide characters. A character that is not assigned was escaped before.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97C, 0xAC00...0xD7A3,
        0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18D08,
        0x1AFF0...0x1B2FB,
        0x1F200...0x1F265, 0x20000...0x3FFFD,
    ]
}

extension StringProtocol {
    /// How many columns of a terminal the text takes.
    var columns: Int { reduce(0) { $0 + $1.columns } }

    /// The longest beginning of the text that takes at most so many columns.
    func prefix(columns most: Int) -> SubSequence {
        var left = most
        return prefix { character in
            left -= character.columns
            return left >= 0
        }
    }

    /// The longest end of the text that takes at most so many columns.
    func suffix(columns most: Int) -> SubSequence {
        var left = most
        var start = endIndex
        while start > startIndex {
            let before = index(before: start)
            left -= self[before].columns
            if left < 0 { break }
            start = before
        }
        return self[start...]
    }
}
