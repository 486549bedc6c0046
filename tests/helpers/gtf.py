"""Lines of a GTF."""

# Filled with chromosome, feature, start, end, strand, gene_id and gene_name.
GTF_LINE = '{}\ttest\t{}\t{}\t{}\t.\t{}\t.\tgene_id "{}"; gene_name "{}"; level 2;\n'
